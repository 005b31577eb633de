/*
Each load kept every line it read and every cent of them, once per source and billing period.
*/
select
    source,
    billing_period,
    count(*) as loads,
    sum(lines_read - lines_loaded) as lines_lost,
    sum(billed_cost_read - billed_cost_loaded) as billed_cost_lost
from ledger.loads
group by all
having
    count(*) != 1
    or sum(lines_read - lines_loaded) is distinct from 0
    or sum(billed_cost_read - billed_cost_loaded) is distinct from 0
