"""Flow runs as the server of a test has them."""

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort


def last_started(client: SyncPrefectClient) -> FlowRun:
    """The flow run that began last; one that a deployment of another test has scheduled has not begun."""
    begun = FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False))
    (last,) = client.read_flow_runs(flow_run_filter=begun, sort=FlowRunSort.START_TIME_DESC, limit=1)
    return last
