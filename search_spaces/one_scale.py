"""A question as it is at one scale, for recipes of both."""

from dataclasses import replace

from search_spaces.ablation import Ablation, Scale

__all__ = ["at_scale"]


def at_scale(ablation: Ablation, scale: Scale) -> Ablation:
    """Return the question that a recipe of one scale is asked, for whichever recipe.

    Its name says the scale, unless the question is the same at both. Claims that cannot be asked
    at the scale are left out.
    """
    if ablation.paper == ablation.small and all(
        claim.paper == claim.small for claim in ablation.claims
    ):
        return ablation
    layout = ablation.layout(scale)
    claims = tuple(
        replace(claim, paper=comparisons, small=comparisons, silent="")
        for claim in ablation.claims
        if (comparisons := claim.comparisons(scale))
    )
    return replace(
        ablation,
        name=f"{ablation.name}-{scale}",
        paper=layout,
        small=layout,
        claims=claims,
        extension=ablation.extension or not claims,
    )
