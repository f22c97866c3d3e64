/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * version: what the three programs call themselves. The one place; packages may override it from
 * the command line of make (CPPFLAGS=-DGSLB_VERSION=…).
 */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#ifndef GSLB_VERSION
#define GSLB_VERSION "0.1.0"
#endif

#endif
