def test_a_report_has_the_ledgers_counts_and_rates_over_the_load_phase(report_of):
    report = report_of(load_s=8.0)
    assert (report.connections.requested, report.connections.opened) == (10, 10)
    assert report.connections.closed.clean == 10
    assert report.connections.close_codes == {"1000": 10}
    assert (report.messages.sent, report.messages.echoed, report.messages.lost) == (20, 20, 0)
    assert (report.messages.sent_per_s, report.messages.received_per_s) == (2.5, 2.5)
    assert report.latency.intended.count == 3
    assert report.plan["rate_per_conn"] == 1.0


def test_a_run_without_load_phase_has_no_rates(report_of):
    assert report_of(load_s=0.0).messages.sent_per_s == 0
