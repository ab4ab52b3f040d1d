/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells the service manager how it goes, by the protocol of sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names. Without
 * libsystemd, which would cost each broker 1 MiB for that. */
#pragma once

/* text: "READY=1", "STATUS=...", as sd_notify(3) lists them. Without a service manager, or when it does not listen, nothing happens. */
void fo_notify(const char *text);
