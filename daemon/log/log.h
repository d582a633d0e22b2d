/*
 * The daemons' log: one event a line, as pairs: `stage.done dataset=imagenet:v3 job=42 ms=…`.
 * To the journal when stderr is connected to it, else to stderr with a time stamp. Only server/,
 * sched/ and main.c log.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

void log_event(enum log_level level, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Above this is dropped; default INFO. The level is process-wide: a daemon's only global besides
 * stderr. */
void log_set_level(enum log_level level);

#endif
