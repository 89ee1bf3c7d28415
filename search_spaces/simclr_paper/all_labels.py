"""Table B.2: does pre-training still pay once all labels are there, and for which encoders?

Expected ordering: fine-tuned on all labels, the wide encoders are ahead of training from scratch
(ResNet-50 (2x) 79.1 against 77.8, (4x) 80.4 against 78.4), the standard one is not (76.0, 76.5). On
1 and 10 % of them the broader policy is slightly better than the default one at every width.

Cost at the paper's scale: pre-training of 1,000 epochs at three widths with two policies, 11,520
TPU v3 core-hours a seed if each cost what ResNet-50 does. Beside it 15 fine-tunings, and the
baseline's 18 candidates and 3 cells.

    simclr-orch ablate all-labels --preset P

Pre-training is by the broader policy of appendix B.2 (see broader-augmentation), and by the default
one for 1 and 10 % of the labels, whose runs few-labels shares. From scratch is the same network
fine-tuned from its initial weights; the paper trains it with the same crops and flips.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Place, beats, wider_gap
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.simclr_paper.broader_augmentation import ADDITIONS, policy_of
from search_spaces.simclr_paper.few_labels import PAPER_CANDIDATES, finetuned, small_candidates
from search_spaces.values import Times, Value

__all__ = ["ALL_LABELS"]

_SCRATCH, _DEFAULT, _BROADER = "from scratch", "pre-trained, default", "pre-trained, broader"
_METHODS = (_SCRATCH, _DEFAULT, _BROADER)
_WIDTHS = ("1", "2", "4")
_SMALL_WIDTHS = {"x 1/2": 0.5, "x 2": 2.0}
_SHARES = ("1", "10", "100")
_NO_BETTER = 0.5  # points

# Top-1 and top-5 (%): by width, of 1, 10 and 100 % of the labels (Table B.2), the default policy's
# of 1 and 10 % (Tables B.4 and 7), and from scratch (B.2; of the standard width Table B.3).
_FOUND: dict[str, dict[str, tuple[tuple[float, float | None], ...]]] = {
    _BROADER: {
        "1": ((49.4, 76.6), (66.1, 88.1), (76.0, 93.1)),
        "2": ((59.4, 83.7), (71.8, 91.2), (79.1, 94.8)),
        "4": ((64.1, 86.6), (74.8, 92.8), (80.4, 95.4)),
    },
    _DEFAULT: {
        "1": ((48.3, 75.5), (65.6, 87.8)),
        "2": ((58.5, 83.0), (71.7, 91.2)),
        "4": ((63.0, 85.8), (74.4, 92.6)),
    },
}
_FOUND_SCRATCH: dict[str, tuple[float, float | None]] = {
    "1": (76.5, None),
    "2": (77.8, 93.9),
    "4": (78.4, 94.2),
}
_PAPER_EPOCHS = {"1": 60, "10": 30, "100": 30}
_SMALL_BATCH = 64


def _paper_cells() -> tuple[Cell, ...]:
    cells = []
    for width in _WIDTHS:
        encoder: dict[str, Value] = {
            "encoder.architecture": "resnet50",
            "encoder.width": float(width),
        }
        cells.append(
            finetuned(
                (_SCRATCH, width, "100"),
                "100",
                {**encoder, "schedule.epochs": 0, "eval.finetune.epochs": [90]},
                found=_FOUND_SCRATCH[width],
                candidates=PAPER_CANDIDATES,
            )
        )
        for method, added in ((_DEFAULT, ()), (_BROADER, ADDITIONS)):
            for share, found in zip(_SHARES, _FOUND[method][width], strict=False):
                values: dict[str, Value] = {
                    **encoder,
                    **policy_of(("blur",), added),
                    "schedule.epochs": 1000,
                    "eval.finetune.epochs": [_PAPER_EPOCHS[share]],
                }
                cells.append(finetuned((method, width, share), share, values, found=found))
    return tuple(cells)


def _small_cells() -> tuple[Cell, ...]:
    cells = []
    for width, factor in _SMALL_WIDTHS.items():
        encoder: dict[str, Value] = {
            "encoder.width": Times(factor),
            "eval.finetune.batch_size": _SMALL_BATCH,
        }
        methods: dict[str, dict[str, Value]] = {
            _SCRATCH: {"schedule.epochs": 0},
            _BROADER: policy_of((), ADDITIONS),
        }
        cells += [
            finetuned(
                (method, width, "100"),
                "100",
                {**encoder, **values},
                candidates=small_candidates(10),
            )
            for method, values in methods.items()
        ]
    return tuple(cells)


def _all(method: str, width: str) -> Place:
    return (method, width, "100")


def _gains_more(wide: str, narrow: str) -> Comparison:
    return wider_gap(
        (_all(_BROADER, wide), _all(_SCRATCH, wide)),
        (_all(_BROADER, narrow), _all(_SCRATCH, narrow)),
    )


ALL_LABELS = Ablation(
    name="all-labels",
    title="Fine-tuning on all labels, by width",
    question="Does pre-training still pay once all labels are there, and for which encoders?",
    source="Table B.2",
    fixed={"eval.protocol": "none"},
    paper=Layout(
        axes=(
            Axis(name="method", labels=_METHODS),
            Axis(name="width (times the standard)", labels=_WIDTHS, log=True),
            Axis(name="labels used (%)", labels=_SHARES),
        ),
        cells=_paper_cells(),
        note="From scratch is tuned over 6 candidates on the validation split. The paper does not "
        "publish order, probabilities and strengths of the broader policy, nor how long it "
        "fine-tunes on all labels; ours are our choice.",
    ),
    small=Layout(
        axes=(
            Axis(name="method", labels=(_SCRATCH, _BROADER)),
            Axis(name="width (times the preset's)", labels=tuple(_SMALL_WIDTHS), log=True),
            Axis(name="labels used (%)", labels=("100",)),
        ),
        cells=_small_cells(),
        note="The preset's encoder at half and twice its width, and batches of 64. Both methods "
        "are tuned on the validation split over the same 8 candidates, 4 learning rates with 10 "
        "epochs or 3 times as many.",
    ),
    metric="finetune_100_top1",
    figure="lines",
    untrained=False,
    claims=(
        Claim.paper_only(
            "Fine-tuned on all labels, ResNet-50 (2x) and (4x) are better than trained from "
            "scratch.",
            "section 6, Table B.2",
            *(beats(_all(_BROADER, width), _all(_SCRATCH, width)) for width in _WIDTHS[1:]),
            silent="The paper says it of encoders that are wide for ImageNet; twice a small "
            "preset's width stands for none of them.",
        ),
        Claim.paper_only(
            "Fine-tuned on all labels, ResNet-50 does not gain from pre-training: no more than "
            f"{_NO_BETTER:g} points (our bound).",
            "appendix B.2, Table B.2",
            beats(_all(_SCRATCH, "1"), _all(_BROADER, "1"), by=-_NO_BETTER),
            silent="The paper says it of ResNet-50 on ImageNet.",
        ),
        Claim(
            statement="With all labels, the wider encoder gains more from pre-training.",
            source="appendix B.2, Table B.2",
            paper=(_gains_more("4", "1"),),
            small=(_gains_more("x 2", "x 1/2"),),
        ),
        Claim.paper_only(
            "Pre-training with the broader policy also improves fine-tuning on 1 and 10 % of the "
            "labels.",
            "appendix B.2, Table B.2 beside Tables 7 and B.4",
            *(
                beats((_BROADER, width, share), (_DEFAULT, width, share))
                for width in _WIDTHS
                for share in ("1", "10")
            ),
            silent="The small cells are those of all labels.",
        ),
    ),
)
