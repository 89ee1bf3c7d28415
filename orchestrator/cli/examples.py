"""Examples for the help of each command, in the order of work: the order of `--help`, too.

A command that is not here stands last, and a test asks for its examples.
"""

__all__ = ["EXAMPLES", "FIRST_SCREEN"]

FIRST_SCREEN = """\
The ablations of the SimCLR paper as commands.

  simclr-orch spaces                                        the questions
  simclr-orch ablate temperature --preset shapes --dry-run  what one would run
  simclr-orch ablate temperature --preset shapes --seeds 3  run it: minutes
  simclr-orch report temperature                            its answer again
  simclr-orch runs --top 5                                  the latest runs

simclr-orch --help lists all commands, simclr-orch COMMAND --help has examples."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "spaces": ("spaces", "spaces temperature"),
    "presets": ("presets", "presets shapes > my-recipe.yaml"),
    "fields": ("fields loss", "fields augment.crop.min_area --json"),
    "show": ("show views --preset shapes -o views.png", "show encoder --preset shapes"),
    "show views": (
        "show views --preset shapes -o views.png",
        "show views --preset shapes --set augment.color.strength=0.5 -o weaker.png",
    ),
    "show histograms": (
        "show histograms --preset textures",
        "show histograms --preset shapes --set augment.color.strength=0.5 -o weaker.png",
    ),
    "show schedule": (
        "show schedule --preset shapes",
        "show schedule --preset shapes --set schedule.epochs=50 -o longer.png",
    ),
    "show encoder": (
        "show encoder --preset shapes",
        "show encoder --preset cifar10 --set encoder.width=0.5",
    ),
    "show plan": (
        "show plan temperature --preset shapes",
        "show plan losses --preset shapes --seeds 3 -o losses.png",
    ),
    "parts": ("parts", "parts --kind losses"),
    "doctor": ("doctor", "doctor --json"),
    "gc": ("gc", "gc --kind states --older-than 30d"),
    "pretrain": (
        "pretrain --preset digits",
        "pretrain --preset shapes --set loss.temperature=0.2 --set schedule.epochs=20",
    ),
    "ablate": (
        "ablate temperature --preset shapes --seeds 3",
        'ablate --over loss.temperature=0.1,0.5 --claim "0.1 > 0.5" --preset shapes --seeds 3',
    ),
    "tune": (
        "tune --search loss.temperature=0.05..1 --preset shapes",
        "tune --search optim.base_learning_rate=0.001..0.1 --samples 8 --preset shapes --dry-run",
    ),
    "plan": (
        "plan temperature --preset shapes --seeds 3 --output plan.json",
        "plan losses --preset shapes --output plan.json --storage simclr-orch-results",
    ),
    "import": ("import results", "import results --storage simclr-orch-results"),
    "watch": ("watch temperature", "watch --storage s3://bucket/results"),
    "stop": ("stop temperature", "stop temperature --storage s3://bucket/results"),
    "report": ("report temperature", "report temperature --long --output my-report"),
    "verdicts": ("verdicts", "verdicts temperature --long"),
    "runs": (
        "runs --sort linear_top1 --top 5",
        'runs --where "loss.temperature < 0.5 and status == finished"',
    ),
    "dashboard": ("dashboard", "dashboard temperature --port 5001"),
    "evaluate": (
        "evaluate 1a2b3c4d --protocol knn",
        "evaluate torchvision:resnet18 --preset digits",
    ),
    "compare": ("compare 1a2b3c4d 5e6f7a8b", "compare 1a2b,3c4d 5e6f,7a8b --result linear_top1"),
    "embed": (
        "embed 1a2b3c4d my-photos -o features.csv",
        "embed torchvision:resnet18 my-photos -o features.npz",
    ),
    "export": ("export 1a2b3c4d", "export 1a2b3c4d --format onnx --output my-encoder"),
    "data": ("data shard my-images my-shards", "data verify my-shards --decode"),
    "data shard": (
        "data shard my-images my-shards",
        "data shard my-images my-shards --images-per-shard 5000 --workers 4",
    ),
    "data verify": ("data verify my-shards", "data verify my-shards --decode"),
    "cluster": ("cluster up cluster.yaml", "cluster status cluster.yaml"),
    "cluster up": ("cluster up cluster.yaml", "cluster up cluster.yaml --yes"),
    "cluster status": ("cluster status cluster.yaml", "cluster status cluster.yaml --json"),
    "cluster jobs": ("cluster jobs cluster.yaml", "cluster jobs cluster.yaml --json"),
    "cluster logs": (
        "cluster logs JOB --on cluster.yaml",
        "cluster logs JOB --on http://head:8265 --follow",
    ),
    "cluster stop": (
        "cluster stop JOB --on cluster.yaml",
        "cluster stop JOB --on http://head:8265",
    ),
    "cluster attach": ("cluster attach cluster.yaml", "cluster attach clusters/gcp.yaml"),
    "cluster dashboard": (
        "cluster dashboard cluster.yaml",
        "cluster dashboard cluster.yaml --port 8266",
    ),
    "cluster down": ("cluster down cluster.yaml", "cluster down cluster.yaml --yes"),
}
