"""What the Prefect server does by itself about runs of our deployments: all automations that `csip deploy` makes.

They are known by their names: making them again changes them.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

RESTARTS = 3
WINDOW = timedelta(days=7)
"""A run that crashed goes on by itself so often within so long; then it has failed."""

PAUSE = timedelta(seconds=30)
"""Before it goes on: its worker reports the same crash twice, and the second report would end what has begun anew."""

SILENCE = timedelta(minutes=3)
"""Six heartbeats."""

ENDS = frozenset(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled"))
CRASHED = "prefect.flow-run.Crashed"
STARTS = frozenset(f"prefect.flow-run.{state}" for state in ("Scheduled", "AwaitingRetry", "Pending", "Running"))
OURS: dict[str, Any] = {
    "match": {"prefect.resource.id": "prefect.flow-run.*"},
    "match_related": [
        {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.csip"},
        {"prefect.resource.role": "deployment"},
    ],
    "for_each": {"prefect.resource.id"},
}


def crashed_run_goes_on() -> AutomationCore:
    """A run whose process died starts again, as the same run, and goes on where it was."""
    return AutomationCore(
        name="csip: a crashed run goes on",
        description="Its machine vanished or its process died; what was finished is kept.",
        trigger=EventTrigger(
            after={CRASHED},
            expect={*STARTS, *ENDS},
            posture=Posture.Proactive,
            threshold=1,
            within=PAUSE,
            **OURS,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="It crashed, and goes on where it was."
            )
        ],
    )


def run_crashed_too_often() -> AutomationCore:
    """A run that crashed once more than it may go on has failed, which ends its going on.

    The server may count an event twice when its database is busy: such a run fails earlier, and none goes on for ever.
    """
    return AutomationCore(
        name="csip: a run that crashed too often has failed",
        description=f"It went on by itself {RESTARTS} times; a person has to look.",
        trigger=EventTrigger(expect={CRASHED}, posture=Posture.Reactive, threshold=RESTARTS + 1, within=WINDOW, **OURS),
        actions=[
            ChangeFlowRunState(
                state=StateType.FAILED,
                message=f"It crashed {RESTARTS + 1} times within {WINDOW.days} days\n"
                "  to do: read the messages of its crashes, then let it go on with Retry; what was finished is kept",
            )
        ],
    )


def silent_run_is_crashed(silence: timedelta = SILENCE) -> AutomationCore:
    """A run of which nothing is heard any more, not even from its worker, is marked as crashed."""
    return AutomationCore(
        name="csip: a run that fell silent is crashed",
        description="Its heartbeats stopped: machine and worker are gone.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", CRASHED, *ENDS},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
            **OURS,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"Nothing was heard of the run for {silence.total_seconds():.0f} s."
            )
        ],
    )


def failed_run_is_told(block: str, block_document_id: UUID) -> AutomationCore:
    """A failed run, or one that crashed too often, is told through a notification block.

    Args:
        block: type/name, for the automation's name.
        block_document_id: the block's id.
    """
    return AutomationCore(
        name=f"csip: a failed run is told to {block.replace('/', ' ')}",
        description="Bad input, or crashed too often.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed"}, posture=Posture.Reactive, threshold=1, within=timedelta(0), **OURS
        ),
        actions=[
            SendNotification(
                block_document_id=block_document_id,
                subject="csip: {{ flow_run.name }} {{ flow_run.state.name | lower }}",
                body="{{ flow_run.state.message }}\n\n{{ flow_run | ui_url }}",
            )
        ],
    )


def make_automations(client: SyncPrefectClient, wanted: Sequence[AutomationCore]) -> None:
    """Create automations, or change those of the same names."""
    for automation in wanted:
        found = client.read_automations_by_name(automation.name)
        if not found:
            client.create_automation(automation)
            continue
        client.update_automation(found[0].id, automation)
        for double in found[1:]:
            client.delete_automation(double.id)
