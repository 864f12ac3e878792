/* pagoda doctor: whether this machine can serve this model. Private to src/app. */
#ifndef PGD_APP_DOCTOR_H
#define PGD_APP_DOCTOR_H

#include "app/doctor_report.h"
#include "pagoda/config.h"

/* The command: args behind its name, the environment. Returns the exit code. */
int pgd_cmd_doctor(int n_args, const char *const *args, const char *const *env);

/* doctor_machine.c: program, system, processor, memory, files, huge pages. config NULL: it could
 * not be read. */
void pgd_doctor_machine(pgd_report *r, const pgd_config *config);
/* doctor_server.c: devices, model, memory plan, port. */
void pgd_doctor_server(pgd_report *r, const pgd_config *config);

#endif
