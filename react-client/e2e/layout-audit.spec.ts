import { expect, test } from './fixtures';
import { layoutFaults } from './layout-audit';

const FILLER = '<p style="height: 1500px; margin: 0">Much to read</p>';

for (const { what, html, faults } of [
  {
    what: 'nothing where all is well',
    html: `<button style="width: 90px; height: 30px">Send</button>${FILLER}`,
    faults: [],
  },
  {
    what: 'what is covered only once the page has been scrolled',
    html:
      '<div style="position: sticky; top: 0; height: 200px; margin-top: 300px">Bar</div>' +
      `<p style="margin: 0">Text</p>${FILLER}`,
    faults: [
      '<p > “Text” is covered by <div > “Bar”',
      '<p > “Much to read” is covered by <div > “Bar”',
    ],
  },
  {
    what: 'what covers something by itself once it stays in sight',
    html:
      '<p style="position: sticky; top: 0; margin: 0; z-index: -1">Stays</p>' +
      `<p style="height: 900px; margin: 0">Passes</p>${FILLER}`,
    faults: [
      '<p > “Stays” is covered by <p > “Passes”',
      '<p > “Stays” is covered by <p > “Much to read”',
    ],
  },
  {
    what: 'what a text covers that sticks out of its element',
    html:
      '<p style="margin: 0">Under</p>' +
      '<div style="position: relative; top: -18px; height: 0">All over it</div>' +
      FILLER,
    faults: ['<p > “Under” is covered by <div > “All over it”'],
  },
  {
    what: 'what a style sheet lays over something from afar',
    html:
      '<style>.far::after { position: absolute; top: 0; left: 0; width: 90px; height: 18px; content: "!" }</style>' +
      `<p style="margin: 0">Text</p>${FILLER}<p class="far">Far</p>`,
    faults: ['<p > “Text” is covered by <p far> “Far”'],
  },
  {
    what: 'a text that is cut off at the end of a long page',
    html: `${FILLER}<p style="width: 40px; overflow: hidden; white-space: nowrap">A long sentence</p>`,
    faults: ['<p > “A long sentence” is cut off by <p > “A long sentence”'],
  },
  {
    what: 'a target that is too small, and what makes the page scroll sideways',
    html:
      '<button style="width: 20px; height: 30px; padding: 0">x</button>' +
      '<p style="width: 2000px; margin: 0; text-align: right">Far</p>',
    faults: [
      'the page scrolls sideways by 728 px',
      '<button > “x” is a target of 20.0 by 30.0 px',
      '<p > “Far” sticks out of the window',
    ],
  },
]) {
  test(`an audit of the layout finds ${what}`, async ({ page }) => {
    await page.setContent(html);
    expect(await layoutFaults(page)).toEqual(faults);
  });
}
