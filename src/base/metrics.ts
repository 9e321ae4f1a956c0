// The process's Prometheus registry. Counters and gauges are declared beside the code that moves them; GET /metrics prints all.
import { Registry } from 'prom-client'

export const metrics = new Registry()
