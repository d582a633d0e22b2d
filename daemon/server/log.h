/* The log as the server's files name it: it is larder-sched's, too, and has a room of its own. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include "log/log.h"

#endif
