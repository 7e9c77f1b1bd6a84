/* build/op/copy.h - the worker of COPY and ADD: selects and packs (build/op/copy.c). Runs as a local job for contexts (the user's ids and
 * groups) and as a mapped job for trees of stages and images. */
#pragma once
#include "base/job.h"

job_main copy_job;
