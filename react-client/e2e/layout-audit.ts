import type { Page } from '@playwright/test';

import { reachesOfPage } from './layout-reach';

/** The window sizes that every view and state is looked at in. */
export const WINDOWS = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 820, height: 1180 },
  { width: 1440, height: 900 },
  { width: 1920, height: 1080 },
  // A phone on its side, and one whose keyboard is open.
  { width: 844, height: 390 },
  { width: 390, height: 420 },
] as const;

/**
 * Looks at the page at every scroll position and names what covers something, is cut off or sticks
 * out of the window. Scrolling regions may hide what they scroll to, and a text that ends in an
 * ellipsis may be short if its whole is one hover or one screen reader away.
 */
export function layoutFaults(page: Page): Promise<string[]> {
  return page.evaluate(`(${faultsOfPage.toString()})(${reachesOfPage.toString()})`);
}

/** Of a chat: whether one has to scroll the page to come to where one writes. */
export async function composerFaults(page: Page): Promise<string[]> {
  const boxes = await page
    .getByRole('textbox', { name: 'Message' })
    .evaluateAll((fields) =>
      fields.map((field) => field.getBoundingClientRect().toJSON() as DOMRect),
    );
  const height = page.viewportSize()?.height ?? 0;
  return boxes.flatMap(({ top, bottom }) =>
    top >= 0 && bottom <= height
      ? []
      : [
          `the message’s field is at ${top.toFixed()} to ${bottom.toFixed()} of ${String(height)} px`,
        ],
  );
}

/** Runs in the page. */
function faultsOfPage(reachesOf: typeof reachesOfPage): string[] {
  const TOLERANCE_PX = 1.5;
  const MOST_COLUMNS_THAT_FIT = 3;
  const SMALLEST_TARGET_PX = 24 - 0.01;
  const found = new Set<string>();
  const { clientWidth } = document.documentElement;
  const dialog = document.querySelector('dialog[open], [role=dialog]');

  const nameOf = (element: Element): string => {
    const text = (element.getAttribute('aria-label') ?? element.textContent).trim();
    const place = typeof element.className === 'string' ? element.className : '';
    return `<${element.localName} ${place.slice(0, 40)}> “${text.slice(0, 40)}”`;
  };
  const styles = new Map<
    Element,
    { clips: boolean; isFixed: boolean; style: CSSStyleDeclaration }
  >();
  const styleOf = (element: Element) => {
    const known = styles.get(element);
    if (known !== undefined) return known;
    const style = getComputedStyle(element);
    const clips = style.overflowX !== 'visible' || style.overflowY !== 'visible';
    const found = { clips, isFixed: style.position === 'fixed', style };
    styles.set(element, found);
    return found;
  };
  const isSeen = (element: Element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  /** A part for screen readers alone is a pixel that is clipped away. */
  const isForReadersAlone = (element: Element) => {
    for (let one: Element | null = element; one !== null; one = one.parentElement) {
      if (styleOf(one).style.clipPath !== 'none') return true;
    }
    return false;
  };
  const hasWholeElsewhere = (element: Element) => element.closest('[title], [aria-label]') !== null;

  /** What of a box is to be seen, and whether something that does not scroll cuts it off. */
  const clip = (element: Element, box: DOMRect) => {
    let [left, top, right, bottom] = [box.left, box.top, box.right, box.bottom];
    let cutBy: Element | null = null;
    for (let one: Element | null = element; one !== null; one = one.parentElement) {
      const { clips, isFixed, style } = styleOf(one);
      if (clips) {
        const { overflowX, overflowY, textOverflow } = style;
        const frame = one.getBoundingClientRect();
        const isRoot = one === document.body || one === document.documentElement;
        if (!isRoot) {
          // A log is read downwards alone.
          const isCutX =
            (/hidden|clip/.test(overflowX) || one.role === 'log') &&
            (left < frame.left - TOLERANCE_PX || right > frame.right + TOLERANCE_PX);
          const isCutY =
            /hidden|clip/.test(overflowY) &&
            (top < frame.top - TOLERANCE_PX || bottom > frame.bottom + TOLERANCE_PX);
          const isShort = textOverflow === 'ellipsis' && hasWholeElsewhere(one);
          if ((isCutX || isCutY) && !isShort) cutBy ??= one;
          left = Math.max(left, frame.left);
          right = Math.min(right, frame.right);
          top = Math.max(top, frame.top);
          bottom = Math.min(bottom, frame.bottom);
        }
      }
      if (isFixed) break;
    }
    return { left, top, right, bottom, cutBy };
  };

  const elements = [...document.querySelectorAll('*')];
  const reaches = reachesOf(elements);

  const look = (element: Element, box: DOMRect) => {
    if (box.width < 1 || box.height < 1 || box.bottom < 0 || box.top > innerHeight) return;
    const seen = clip(element, box);
    if (seen.cutBy !== null) {
      found.add(`${nameOf(element)} is cut off by ${nameOf(seen.cutBy)}`);
      return;
    }
    if (seen.right - seen.left < 2 || seen.bottom - seen.top < 2) return;
    if (seen.right > clientWidth + TOLERANCE_PX || seen.left < -TOLERANCE_PX) {
      found.add(`${nameOf(element)} sticks out of the window`);
      return;
    }
    const x = (Math.max(seen.left, 0) + Math.min(seen.right, innerWidth)) / 2;
    // Of a part that has nearly been scrolled away, no point beside it.
    const inset = Math.min(2, (seen.bottom - seen.top) / 2);
    for (const y of [seen.top + inset, (seen.top + seen.bottom) / 2, seen.bottom - inset]) {
      if (y < 0 || y >= innerHeight || !reaches.mayBeCovered(element, x, y)) continue;
      const top = document.elementFromPoint(x, y);
      if (top === null || top.contains(element) || element.contains(top)) continue;
      // Whoever is at both has the other beside it: a field and its label, a chart and its cursor.
      if (top.closest('label')?.contains(element) ?? false) continue;
      if (element.closest('label')?.contains(top) ?? false) continue;
      // A head that stays while its own table scrolls.
      if (top.closest('thead') !== null && element.closest('table')?.contains(top)) continue;
      found.add(`${nameOf(element)} is covered by ${nameOf(top)}`);
      return;
    }
  };

  const { scrollWidth } = document.documentElement;
  if (scrollWidth > clientWidth)
    found.add(`the page scrolls sideways by ${String(scrollWidth - clientWidth)} px`);

  const root = dialog ?? document.body;
  for (const table of root.querySelectorAll('table')) {
    const scroller = table.parentElement;
    if (scroller === null || !isSeen(table) || table.rows[0] === undefined) continue;
    // More columns than that may have to be scrolled to.
    if (table.rows[0].cells.length > MOST_COLUMNS_THAT_FIT) continue;
    if (scroller.scrollWidth > scroller.clientWidth + TOLERANCE_PX) {
      found.add(`${nameOf(scroller)} scrolls sideways, for few columns`);
    }
  }
  const range = document.createRange();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts: { node: Node; parent: Element }[] = [];
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent === null || (node.textContent ?? '').trim() === '') continue;
    if (parent.closest('option, script, style, svg, textarea') !== null) continue;
    if (isSeen(parent) && !isForReadersAlone(parent)) texts.push({ node, parent });
  }
  const controls = [...root.querySelectorAll('button, input, textarea, select, summary, a')].filter(
    (control) => isSeen(control) && !isForReadersAlone(control),
  );

  // Fingers and unsteady hands: WCAG 2.5.8. A choice is hit by its label, a link in a text is text.
  for (const control of controls) {
    const isInText = control.localName === 'a' && control.closest('p, li, dd, td') !== null;
    // What is hidden from screen readers is there once more, for them and for fingers.
    const isTwice = control.closest('[aria-hidden=true]') !== null;
    if (isInText || isTwice || control.matches(':disabled')) continue;
    const { width, height } = (control.closest('label') ?? control).getBoundingClientRect();
    if (width < 1 || height < 1) continue;
    if (width < SMALLEST_TARGET_PX || height < SMALLEST_TARGET_PX) {
      found.add(`${nameOf(control)} is a target of ${width.toFixed(1)} by ${height.toFixed(1)} px`);
    }
  }

  // What stays in sight while the page scrolls may cover something at one position only. All else is
  // looked at where it is first wholly in view: to ask what is at a point is the dear part.
  const staying = [...root.querySelectorAll('*')].filter((element) =>
    /fixed|sticky/.test(styleOf(element).style.position),
  );
  const parts = [
    ...texts.map(({ node, parent }) => {
      const boxesOf = () => {
        range.selectNodeContents(node);
        return [...range.getClientRects()];
      };
      return { element: parent, boxesOf };
    }),
    ...controls.map((element) => ({ element, boxesOf: () => [element.getBoundingClientRect()] })),
  ];
  scrollTo({ top: 0, behavior: 'instant' });
  // What does not stay moves as the page does: where it is now says at which positions it comes into
  // view. To measure all of a long page at each position takes as long as all else.
  const placed = parts.map((part) => {
    const stays = staying.some((one) => one.contains(part.element));
    const boxes = part.boxesOf();
    const top = Math.min(...boxes.map((box) => box.top));
    const bottom = Math.max(...boxes.map((box) => box.bottom));
    // A text may stick out of the element that it is in.
    if (!stays) for (const box of boxes) reaches.note(part.element, box);
    return { ...part, stays, top, bottom, wasInView: false };
  });
  // What is behind a dialog may stay or not.
  const scrolls = (element: Element) =>
    root.contains(element) && !staying.some((one) => one.contains(element));
  for (const element of elements.filter(scrolls)) {
    reaches.note(element, element.getBoundingClientRect());
  }
  const lasting = elements.filter((element) => !scrolls(element));
  let top = -1;
  while (top !== scrollY) {
    top = scrollY;
    reaches.noteLasting([
      ...lasting.map((element) => [element, element.getBoundingClientRect()] as const),
      ...placed
        .filter(({ stays }) => stays)
        .flatMap(({ element, boxesOf }) => boxesOf().map((box) => [element, box] as const)),
    ]);
    const covers = staying.map((element) => element.getBoundingClientRect());
    const isBesideCovers = (box: DOMRect) =>
      covers.every(
        (cover) =>
          box.right < cover.left ||
          box.left > cover.right ||
          box.bottom < cover.top ||
          box.top > cover.bottom,
      );
    for (const part of placed) {
      // With room for what takes another height once it is in view.
      const isFar = part.bottom - top < -innerHeight || part.top - top > 2 * innerHeight;
      if (isFar && !part.stays) continue;
      const boxes = part.boxesOf();
      for (const box of boxes) {
        if (part.stays || !part.wasInView || !isBesideCovers(box)) look(part.element, box);
      }
      part.wasInView ||= boxes.every((box) => box.top >= 0 && box.bottom <= innerHeight);
    }
    scrollBy({ top: innerHeight / 2, behavior: 'instant' });
  }
  scrollTo({ top: 0, behavior: 'instant' });

  const pen = document.createElement('canvas').getContext('2d');
  for (const field of root.querySelectorAll<HTMLInputElement>('input[placeholder]')) {
    if (pen === null || field.value !== '' || !isSeen(field)) continue;
    const { style } = styleOf(field);
    pen.font = getComputedStyle(field, '::placeholder').font;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (pen.measureText(field.placeholder).width > room + TOLERANCE_PX) {
      found.add(`the placeholder “${field.placeholder}” has no room in ${nameOf(field)}`);
    }
  }
  return [...found];
}
