"""A stage whose runs can be counted, and the small data set that training is tested on."""

from tests.flows.conftest import counting_stage as counting_stage
from tests.training.conftest import small as small
from tests.training.conftest import stages as stages
