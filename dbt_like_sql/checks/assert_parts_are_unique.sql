/*
A part has one workload: no daily row, and no part of one, stands twice in the relation that reports read.
*/
select
    source,
    billing_period,
    daily_id,
    part,
    count(*) as times
from intermediate.int_charges_allocated
group by all
having count(*) != 1
