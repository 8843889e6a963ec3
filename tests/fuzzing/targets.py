"""What is fed with damaged input: a strategy for the files of a folder, and what reads them.

Each target is {"files": strategy of {name: bytes}, "use": function of the folder}, which returns an
exit code or None.
"""

from tests.fuzzing.data_targets import DATA_TARGETS
from tests.fuzzing.scan_targets import SCAN_TARGETS

TARGETS = {**DATA_TARGETS, **SCAN_TARGETS}
