/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 3339 text to and from microseconds since 1970, in the proleptic Gregorian calendar. By hand because libc's way
 * goes through time zones and locales. The day arithmetic counts years from March, so that the leap day comes last. */
#include "base/time.h"

#include <stdio.h>

enum {
    SECOND_US = 1000000,
    DAY_SECONDS = 86400,
    ERA_YEARS = 400,
    ERA_DAYS = 146097,
    DAYS_TO_1970 = 719468,      /* from 0000-03-01 */
    FRACTION_DIGITS_MAX = 9,
};

static const int64_t year_zero_us = -62167219200LL * SECOND_US;             /* 0000-01-01T00:00:00Z */
static const int64_t year_10000_us = 253402300800LL * SECOND_US;

struct civil { int year, month, day; };

static int64_t
days_from_civil(struct civil c)
{
    int64_t year = c.year - (c.month <= 2);
    int64_t era = (year >= 0 ? year : year - (ERA_YEARS - 1)) / ERA_YEARS;
    int64_t year_of_era = year - era * ERA_YEARS;
    int64_t day_of_year = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970;
}

static struct civil
civil_from_days(int64_t days)
{
    int64_t shifted = days + DAYS_TO_1970;
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct civil c;

    c.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    c.month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    c.year = (int)(year_of_era + era * ERA_YEARS) + (c.month <= 2);
    return c;
}

/* Stamps outside the four-digit years are shown as the nearest one inside. */
void
fo_wall_format(struct fo_wall t, char ret_text[FO_RFC3339_SIZE])
{
    int64_t us = t.us < year_zero_us ? year_zero_us : t.us >= year_10000_us ? year_10000_us - 1 : t.us;
    int64_t seconds = us / SECOND_US, fraction = us % SECOND_US;
    int64_t days, second_of_day;
    struct civil c;

    if (fraction < 0) {
        fraction += SECOND_US;
        seconds--;
    }
    days = seconds / DAY_SECONDS;
    second_of_day = seconds % DAY_SECONDS;
    if (second_of_day < 0) {
        second_of_day += DAY_SECONDS;
        days--;
    }
    c = civil_from_days(days);
    snprintf(ret_text, FO_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)c.year % 10000, (unsigned)c.month % 100,
             (unsigned)c.day % 100, (unsigned)(second_of_day / 3600) % 100, (unsigned)(second_of_day / 60 % 60),
             (unsigned)(second_of_day % 60), (unsigned)fraction % SECOND_US);
}

struct scan { const char *p, *end; bool is_bad; };

static bool
take_char(struct scan *s, char upper, char lower)
{
    if (s->p == s->end || (*s->p != upper && *s->p != lower))
        return false;
    s->p++;
    return true;
}

static void
expect(struct scan *s, char upper, char lower)
{
    if (!take_char(s, upper, lower))
        s->is_bad = true;
}

static int
take_number(struct scan *s, int digits, int min, int max)
{
    int v = 0;

    for (int i = 0; i < digits; i++, s->p++) {
        if (s->p == s->end || *s->p < '0' || *s->p > '9') {
            s->is_bad = true;
            return min;
        }
        v = v * 10 + (*s->p - '0');
    }
    if (v < min || v > max)
        s->is_bad = true;
    return v;
}

static int64_t
take_fraction_us(struct scan *s)
{
    int64_t us = 0, unit = SECOND_US / 10;
    int digits = 0;

    if (!take_char(s, '.', '.'))
        return 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, digits++, unit /= 10)
        us += (*s->p - '0') * unit;
    if (digits == 0 || digits > FRACTION_DIGITS_MAX)
        s->is_bad = true;
    return us;
}

static int64_t
take_offset_seconds(struct scan *s)
{
    int sign, hours, minutes;

    if (take_char(s, 'Z', 'z'))
        return 0;
    sign = take_char(s, '-', '-') ? -1 : 1;
    if (sign > 0)
        expect(s, '+', '+');
    hours = take_number(s, 2, 0, 23);
    expect(s, ':', ':');
    minutes = take_number(s, 2, 0, 59);
    return sign * (hours * 3600 + minutes * 60);
}

static int
days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

/* A leap second (":60") is accepted where one can stand, at 23:59 UTC, and becomes the second after it. */
enum fo_err
fo_wall_parse(const char *text, size_t n, struct fo_wall *ret_t)
{
    struct scan s = {text, text + n, false};
    struct civil c;
    int64_t seconds, us;
    int hour, minute, second;

    c.year = take_number(&s, 4, 0, 9999);
    expect(&s, '-', '-');
    c.month = take_number(&s, 2, 1, 12);
    expect(&s, '-', '-');
    c.day = take_number(&s, 2, 1, 31);
    expect(&s, 'T', 't');
    hour = take_number(&s, 2, 0, 23);
    expect(&s, ':', ':');
    minute = take_number(&s, 2, 0, 59);
    expect(&s, ':', ':');
    second = take_number(&s, 2, 0, 60);
    us = take_fraction_us(&s);
    seconds = hour * 3600 + minute * 60 + second - take_offset_seconds(&s);
    if (s.is_bad || s.p != s.end || c.day > days_in_month(c.year, c.month))
        return FO_ERR_PARSE;
    seconds += days_from_civil(c) * DAY_SECONDS;
    if (second == 60 && seconds % DAY_SECONDS != 0)
        return FO_ERR_PARSE;
    us += seconds * SECOND_US;
    if (us < year_zero_us || us >= year_10000_us)       /* an offset or a leap second can lead out of the years that there are */
        return FO_ERR_PARSE;
    ret_t->us = us;
    return FO_OK;
}
