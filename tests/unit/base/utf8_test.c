/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

static void
well_formed_is_accepted(void **state)
{
    const char *const texts[] = {
        "", "plain ascii, longer than one word", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "12345678\xc3\xa9" "12345678\xe2\x82\xac", "1234567\xf0\x9f\x98\x80",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(fo_utf8_is_valid((const uint8_t *)texts[i], strlen(texts[i])));
    assert_true(fo_utf8_is_valid((const uint8_t *)"a\0b", 3));
}

static void
malformed_is_refused_wherever_it_stands(void **state)
{
    const char *const texts[] = {
        "\x80", "\xbf",                                         /* continuation alone */
        "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80", "\xed\xbf\xbf",                         /* surrogates */
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", /* above U+10FFFF */
        "\xc3", "\xe2\x82", "\xf0\x9f\x98",                     /* cut off */
        "\xc3(", "\xe2(\x82", "\xe2\x82(", "\xf0(\x98\x80", "\xf0\x9f(\x80", "\xf0\x9f\x98(",
    };
    uint8_t around[40];

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);

        assert_false(fo_utf8_is_valid((const uint8_t *)texts[i], n));
        for (size_t at = 0; at < 20; at++) {
            memset(around, 'a', sizeof around);
            memcpy(around + at, texts[i], n);
            assert_false(fo_utf8_is_valid(around, sizeof around));
            assert_false(fo_utf8_is_valid(around, at + n));
        }
    }
}

/* Against a plain decoder, for every string of up to four interesting bytes. */
static bool
is_valid_plainly(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0, len; i < n; i += len) {
        uint32_t c;

        len = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        if (len == 0 || n - i < len)
            return false;
        c = len == 1 ? p[i] : p[i] & (0x7fu >> len);
        for (size_t k = 1; k < len; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

static void
agrees_with_a_plain_decoder(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                    0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    const unsigned n = sizeof bytes;
    uint8_t text[4];

    (void)state;
    for (unsigned i = 0; i < n * n * n * n; i++) {
        text[0] = bytes[i % n];
        text[1] = bytes[i / n % n];
        text[2] = bytes[i / n / n % n];
        text[3] = bytes[i / n / n / n];
        for (size_t len = 1; len <= 4; len++)
            if (fo_utf8_is_valid(text, len) != is_valid_plainly(text, len))
                fail_msg("%02x %02x %02x %02x, first %zu", text[0], text[1], text[2], text[3], len);
    }
}

/* Each byte at each place of some whole words and a rest, behind and before bytes that fit. */
static void
spans_end_at_the_first_byte_outside(void **state)
{
    static const struct { uint8_t low, high; } ranges[] = { { 1, 0x7f }, { ' ', '~' }, { 'a', 'z' }, { 0, 0x7f } };
    uint8_t text[19];

    (void)state;
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        for (size_t at = 0; at < sizeof text; at++) {
            for (unsigned c = 0; c < 256; c++) {
                bool fits = c >= ranges[r].low && c <= ranges[r].high;

                memset(text, ranges[r].low, sizeof text);
                text[at] = (uint8_t)c;
                assert_int_equal(fo_ascii_span(text, sizeof text, ranges[r].low, ranges[r].high), fits ? sizeof text : at);
                memset(text, ranges[r].high, sizeof text);
                text[at] = (uint8_t)c;
                assert_int_equal(fo_ascii_span(text, sizeof text, ranges[r].low, ranges[r].high), fits ? sizeof text : at);
            }
        }
    }
    assert_int_equal(fo_ascii_span(text, 0, 'a', 'z'), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_is_accepted),
        cmocka_unit_test(malformed_is_refused_wherever_it_stands),
        cmocka_unit_test(agrees_with_a_plain_decoder),
        cmocka_unit_test(spans_end_at_the_first_byte_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
