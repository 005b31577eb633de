/*
The headline claim, this month and the months before it. Low counts only inference that is declared, billed or measured;
high counts everything that could still turn out to be inference.
*/
select
    period,
    measured_low,
    measured,
    measured_high,
    claimed_low,
    claimed_high,
    verdict,
    undecided_cost,
    measured_cost,
    attributed_share
from marts.claim_checks
where claim_id = 'inference-80-20' and period <= date '2026-09-01' and period > date '2026-09-01' - interval 12 month
order by period
