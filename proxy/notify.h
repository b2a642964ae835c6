/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager what state the process is in (sd_notify(3)). */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

/* Each does nothing when no manager listens (NOTIFY_SOCKET). */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* notify_successor: the process that goes on under this service. */
void notify_successor(int pid);

#endif
