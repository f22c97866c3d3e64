/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

#include <math.h>

static double radians(double degrees)
{
    return degrees * (M_PI / 180);
}

struct steer_point steer_point_of(double latitude, double longitude)
{
    double la = radians(latitude), lo = radians(longitude);

    return (struct steer_point){cos(la) * cos(lo), cos(la) * sin(lo), sin(la)};
}

double steer_chord(const struct steer_point *a, const struct steer_point *b)
{
    double x = a->x - b->x, y = a->y - b->y, z = a->z - b->z;

    return sqrt(x * x + y * y + z * z);
}

/* Vincenty's formula for a sphere. Unlike the arc cosine of a product it keeps its digits for near
 * points, and unlike the haversine for opposite ones. */
double steer_distance_km(double latitude_a, double longitude_a, double latitude_b,
                         double longitude_b)
{
    double a = radians(latitude_a), b = radians(latitude_b);
    double across = radians(longitude_b - longitude_a);
    double y = hypot(cos(b) * sin(across), cos(a) * sin(b) - sin(a) * cos(b) * cos(across));
    double x = sin(a) * sin(b) + cos(a) * cos(b) * cos(across);

    return STEER_EARTH_RADIUS_KM * atan2(y, x);
}
