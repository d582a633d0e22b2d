/* May a dataset of this origin be published with access=origin? For scan/ alone. */
#ifndef SCAN_RIGHTS_H
#define SCAN_RIGHTS_H

#include "larder/error.h"
#include "scan/records.h"

/* records are sorted. 0, or -EPERM with the file at fault and what to do. */
int rights_can_be_told(const struct records *records, struct larder_error *err);

#endif
