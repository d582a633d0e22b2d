/* Our token in a job's admin_comment: `larder=SPEC[,SPEC…];`. Pure. */
#ifndef SCHED_TOKEN_H
#define SCHED_TOKEN_H

/* Beside it: larder.lua lets the job's placement be as it is (KEEP there). */
#define TOKEN_KEEP "larder-keep-prefer;"

/*
 * The specs that the comment names, as text that larder_spec_list_parse takes (not parsed here).
 * A string to free; NULL when there is no token, or none that is whole, or no memory.
 */
char *token_specs(const char *comment);

#endif
