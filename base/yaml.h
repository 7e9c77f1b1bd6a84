/* base/yaml.h - YAML as JSON, read by libyaml, which is opened by the first text.
 *
 * Data:   text -> a value of base/jdoc.h. Whole numbers, true, false and null are that; all other plain scalars are strings.
 * Fails:  ERR_INPUT with the line: also for what is legal and not read here, namely anchors, aliases, tags and further documents.
 * Bounds: depth 64; memory is a few times the text.
 */
#pragma once
#include "base/jdoc.h"

int yaml_parse(struct slice text, const char *what, struct jval **ret, struct err **e);    /* new */
