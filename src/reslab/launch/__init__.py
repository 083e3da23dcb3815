"""Several processes of one command, the ranks of a training: started, watched, and started again after a failure.

It stands above the trainings and knows nothing of them but their exit codes and that a checkpoint was written.
"""

from reslab.launch.supervise import supervise as supervise
