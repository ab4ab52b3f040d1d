/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker made of libnng's device: a raw SUB whose messages go out by a raw PUB.
 *
 *   relay_nng IN OUT [connect]    ports; "connect": IN is an upstream's OUT, otherwise publishers connect to it */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>

enum { BUFFER = 8192 };

int
main(int argc, char **argv)
{
    char in[64], out[64];
    nng_socket from, to;
    int err;

    if (argc < 3)
        return 2;
    snprintf(in, sizeof in, "tcp://127.0.0.1:%s", argv[1]);
    snprintf(out, sizeof out, "tcp://127.0.0.1:%s", argv[2]);
    if ((err = nng_sub0_open_raw(&from)) == 0 && (err = nng_pub0_open_raw(&to)) == 0
        && (err = nng_socket_set_int(from, NNG_OPT_RECVBUF, BUFFER)) == 0 && (err = nng_socket_set_int(to, NNG_OPT_SENDBUF, BUFFER)) == 0
        && (err = nng_listen(to, out, NULL, 0)) == 0
        && (err = argc > 3 ? nng_dial(from, in, NULL, NNG_FLAG_NONBLOCK) : nng_listen(from, in, NULL, 0)) == 0)
        err = nng_device(from, to);
    fprintf(stderr, "relay_nng: %s\n", nng_strerror(err));
    return 1;
}
