#!/bin/bash
# A folder of pictures, shared by the four tasks of a Slurm array:
#
#   sbatch examples/cluster/slurm.sh holiday holiday-x2
#
# --shard auto reads which task of how many this is; any --array=A-B will do, also given to sbatch. A picture has its name only
# once it is whole, and --resume leaves out what is there: a task that was killed is submitted or requeued as it is, and goes on.
# Where slurm.conf has RequeueExit=137, Slurm itself starts a task again that ran out of memory.
#SBATCH --job-name=bifocal
#SBATCH --array=1-4
#SBATCH --cpus-per-task=1
#SBATCH --mem=256M
#SBATCH --requeue
#SBATCH --open-mode=append

# Not exec: the shell says 137 where the program was killed.
bifocal upscale --recursive --resume --shard auto --threads "$SLURM_CPUS_PER_TASK" --mem 64MiB "$@"
