/* SPDX-License-Identifier: Apache-2.0
 *
 * The public headers in the oldest C that they are for; that this compiles is the test. */
#include <fanout/fanout.h>

int
main(void)
{
    struct fanout_options options;

    fanout_options_init(&options);
    return fanout_open(&options, (fanout_client **)0) == FANOUT_ERR_INVALID ? 0 : 1;
}
