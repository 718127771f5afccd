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
CRASHED, HEARTBEAT = "prefect.flow-run.Crashed", "prefect.flow-run.heartbeat"
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
    return _automation(
        "a crashed run goes on",
        "Its machine vanished or its process died; what was finished is kept.",
        ChangeFlowRunState(
            state=StateType.SCHEDULED, name="AwaitingRetry", message="It crashed, and goes on where it was."
        ),
        after={CRASHED},
        expect={*STARTS, *ENDS},
        posture=Posture.Proactive,
        within=PAUSE,
    )


def run_crashed_too_often() -> AutomationCore:
    """A run that crashed once more than it may go on has failed, which ends its going on.

    The server may count an event twice when its database is busy: such a run fails earlier, and none goes on for ever.
    """
    return _automation(
        "a run that crashed too often has failed",
        f"It went on by itself {RESTARTS} times; a person has to look.",
        ChangeFlowRunState(
            state=StateType.FAILED,
            message=f"It crashed {RESTARTS + 1} times within {WINDOW.days} days\n"
            "  to do: read the messages of its crashes, then let it go on with Retry; what was finished is kept",
        ),
        expect={CRASHED},
        threshold=RESTARTS + 1,
        within=WINDOW,
    )


def silent_run_is_crashed(silence: timedelta = SILENCE) -> AutomationCore:
    """A run of which nothing is heard any more, not even from its worker, is marked as crashed."""
    return _automation(
        "a run that fell silent is crashed",
        "Its heartbeats stopped: machine and worker are gone.",
        ChangeFlowRunState(
            state=StateType.CRASHED, message=f"Nothing was heard of the run for {silence.total_seconds():.0f} s."
        ),
        after={HEARTBEAT},
        expect={HEARTBEAT, CRASHED, *ENDS},
        posture=Posture.Proactive,
        within=silence,
    )


def failed_run_is_reported(block: str, block_document_id: UUID) -> AutomationCore:
    """A failed run, or one that crashed too often, is reported through a notification block, type/name."""
    return _automation(
        f"a failed run is told to {block.replace('/', ' ')}",
        "Bad input, or crashed too often.",
        SendNotification(
            block_document_id=block_document_id,
            subject="csip: {{ flow_run.name }} {{ flow_run.state.name | lower }}",
            body="{{ flow_run.state.message }}\n\n{{ flow_run | ui_url }}",
        ),
        expect={"prefect.flow-run.Failed"},
        within=timedelta(0),
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


def _automation(
    name: str, description: str, action: ChangeFlowRunState | SendNotification, **trigger: Any
) -> AutomationCore:
    trigger = {"posture": Posture.Reactive, "threshold": 1} | trigger
    return AutomationCore(
        name=f"csip: {name}", description=description, trigger=EventTrigger(**trigger, **OURS), actions=[action]
    )
