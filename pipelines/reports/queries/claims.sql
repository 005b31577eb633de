/*
Every claim and what this month's bills say of it.
*/
select
    columns(
        lambda name: name in (
            'claim_id', 'statement', 'said_by', 'unit', 'measured_low', 'measured', 'measured_high', 'claimed_low',
            'claimed_high', 'verdict', 'undecided_cost', 'attributed_share', 'reading'
        )
    )
from marts.claim_checks
where period = date '2026-09-01'
order by claim_id
