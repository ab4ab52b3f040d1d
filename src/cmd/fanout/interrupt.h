/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGINT (Ctrl-C) and SIGTERM as a wish: a command stops what it does and says what became of it. The second one says not to wait
 * any longer, the third ends the process. */
#pragma once
#include <stdbool.h>

/* From now on. Signals that are ignored stay so. */
void interrupt_catch(void);
/* The signal that came; 0: none yet. */
int interrupt_signal(void);
bool interrupt_is_urgent(void);
/* Waits until something can be read from fd, or its end. False: a signal came. */
bool interrupt_wait_readable(int fd);
