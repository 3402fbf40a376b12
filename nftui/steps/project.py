"""The check after files were written: Compose must want to touch exactly the services of the plan."""

from __future__ import annotations

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading


class ProjectCheckKind(Reading):
    """Dry-run `up` of the whole project lists exactly the planned services (engine.md 10). Changes nothing."""

    name = "project-check"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming services that a plain `docker compose up` would touch besides."""
        planned = step.params["services"]
        ignored = step.params.get("ignored", [])
        assert isinstance(planned, list) and isinstance(ignored, list)
        touched = {name for name, action in ctx.compose.dry_run().items() if action == "recreate"}
        extra = sorted(touched - set(planned) - set(ignored))
        if extra:
            raise StepFailed(
                msg(
                    "With the new files Compose would also recreate {services}; that was not planned.",
                    services=", ".join(extra),
                )
            )
        return {"recreate": sorted(touched)}
