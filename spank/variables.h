/*
 * Names of the environment variables that the plugin itself hands from one place to the next. All
 * pass through the user's hands: none is believed where it matters.
 */
#ifndef SPANK_VARIABLES_H
#define SPANK_VARIABLES_H

/* Job control: SPANK_LARDER_FIXED in the prolog, SLURM_SPANK_… in the job. Specs with digest. */
#define VARIABLE_FIXED "LARDER_FIXED"
/* From srun to its own step: --dataset was typed for it. SLURM_… passes --export=NONE. */
#define VARIABLE_STEP "SLURM_SPANK_LARDER_STEP"
/* In the job: its id, once its line has been printed. */
#define VARIABLE_SAID "SLURM_SPANK_LARDER_SAID"

#endif
