/*
 * Programs find each other beside themselves: so a build runs where it was made, and an installed
 * tree where it was moved to.
 */
#ifndef LARDER_BESIDE_H
#define LARDER_BESIDE_H

#include <stddef.h>

/*
 * The path of `relative`, seen from the directory of the program that runs. Writes into buf and
 * returns it; NULL, with errno, where /proc does not tell or buf is too small. Whether anything is
 * there is not asked.
 */
const char *larder_beside(const char *relative, char *buf, size_t len);

#endif
