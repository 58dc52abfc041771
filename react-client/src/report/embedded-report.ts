import { readReport, type RunReport } from '../features/load/run-report';

/** Where `loadgen/report/html.py` puts the report: the id is part of what the two agreed. */
const ELEMENT_ID = 'loadgen-report';

/** The report within this document; `null` in the bare template, or of a schema unknown here. */
export function embeddedReport(page: Document): RunReport | null {
  const text = page.getElementById(ELEMENT_ID)?.textContent ?? 'null';
  try {
    return readReport(JSON.parse(text));
  } catch {
    return null;
  }
}
