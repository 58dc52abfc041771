import { describe, expect, it } from 'vitest';

import { embeddedReport } from './embedded-report';

function pageWith(json: string): Document {
  const page = document.implementation.createHTMLDocument();
  page.body.innerHTML = `<script type="application/json" id="loadgen-report">${json}</script>`;
  return page;
}

const parts = { connections: {}, messages: {}, latency: {}, generator: {}, series: [], plan: {} };

describe('embeddedReport', () => {
  it('finds the report that the generator wrote into the page', () => {
    const json = JSON.stringify({ schema: 1, ...parts, verdict: 'valid' });
    expect(embeddedReport(pageWith(json))).toMatchObject({ verdict: 'valid' });
  });

  it('reads what was escaped so that it could not end the element', () => {
    const json = JSON.stringify({ schema: 1, ...parts, plan: { message: '</script>' } });
    const escaped = json.replaceAll('<', String.raw`\u003c`).replaceAll('>', String.raw`\u003e`);
    expect(embeddedReport(pageWith(escaped))?.plan).toEqual({ message: '</script>' });
  });

  it.each(['null', '', '{"schema": 2}', '{"schema": 1}', 'no json'])('%j is no report', (json) => {
    expect(embeddedReport(pageWith(json))).toBeNull();
  });
});
