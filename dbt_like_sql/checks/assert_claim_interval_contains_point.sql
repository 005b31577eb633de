/*
A claim's interval lies between 0 and 1, contains its point, and has a verdict.
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
    or not (measured_low between 0 and measured_high and measured_high <= 1)
    or not (measured between measured_low and measured_high)
