/*
The headline's own definition in claim_sensitivity is the answer of claim_checks, and every interval contains its
point.
*/
with

answers as (
    select
        sensitivity.*,
        checks.measured_low as checked_low,
        checks.measured as checked_point,
        checks.measured_high as checked_high,
        checks.verdict as checked_verdict
    from marts.claim_sensitivity as sensitivity
    inner join marts.claim_checks as checks using (claim_id, period)
)

select
    claim_id,
    period,
    measured_low,
    measured,
    measured_high,
    verdict
from answers
where
    measured_low > measured_high
    or not (measured between measured_low and measured_high)
    or (is_headline and measured_low is distinct from checked_low)
    or (is_headline and measured is distinct from checked_point)
    or (is_headline and measured_high is distinct from checked_high)
    or (is_headline and verdict != checked_verdict)
