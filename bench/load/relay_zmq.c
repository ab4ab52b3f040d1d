/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker made of libzmq's proxy.
 *
 *   relay_zmq IN OUT [connect]    ports; "connect": IN is an upstream's OUT, otherwise publishers connect to it */
#include <stdio.h>
#include <zmq.h>

int
main(int argc, char **argv)
{
    char in[64], out[64];
    int unlimited = 0;
    void *context = zmq_ctx_new(), *from = zmq_socket(context, ZMQ_XSUB), *to = zmq_socket(context, ZMQ_XPUB);

    if (argc < 3)
        return 2;
    snprintf(in, sizeof in, "tcp://127.0.0.1:%s", argv[1]);
    snprintf(out, sizeof out, "tcp://127.0.0.1:%s", argv[2]);
    zmq_setsockopt(from, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(to, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    if ((argc > 3 ? zmq_connect(from, in) : zmq_bind(from, in)) != 0 || zmq_bind(to, out) != 0) {
        fprintf(stderr, "relay_zmq: %s\n", zmq_strerror(zmq_errno()));
        return 1;
    }
    return zmq_proxy(from, to, NULL);
}
