/*
A claim's interval contains its point, lies between 0 and 1 where it is a share, and has a verdict.
*/
select
    claim_id,
    period,
    measured_low,
    measured,
    measured_high,
    verdict
from marts.claim_checks
where
    verdict is null
    or verdict not in ('holds', 'fails', 'undetermined', 'withheld', 'no_data')
    or (measured_low is null) != (verdict = 'no_data')
    or measured_low < 0
    or measured_low > measured_high
    or (coalesce(unit, 'share') = 'share' and measured_high > 1)
    or not (measured between measured_low and coalesce(measured_high, measured))
    or undecided_cost < 0
