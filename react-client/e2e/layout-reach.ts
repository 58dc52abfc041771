/** Which elements reach a point of the window. */
export interface Reaches {
  /** Of what scrolls with the page, before the page is scrolled. */
  readonly note: (element: Element, box: DOMRect) => void;
  /** Of what stays in sight, instead of what was there before. */
  readonly noteLasting: (boxes: readonly (readonly [Element, DOMRect])[]) => void;
  /** Whether anything is there but what the element is in, and what is in it. */
  readonly mayBeCovered: (element: Element, x: number, y: number) => boolean;
}

/**
 * Runs in the page. To ask the browser what is at a point takes as long as the page has layers, and
 * the audit asks some hundred thousand times. At nine points of ten there is nothing that it could
 * name: no other element's box is there. Boxes may be said to be larger than they are, not smaller.
 */
export function reachesOfPage(elements: readonly Element[]): Reaches {
  const STRIP_PX = 32;
  const ROUNDED_PX = 1;
  /** Of a line, which is wider than the path that it is drawn along. */
  const STROKE_PX = 4;
  /** A list's marks, and what a style sheet writes before or behind a text. */
  const GENERATED_PX = 48;

  const orders = new Map(elements.map((element, order) => [element, order]));
  const orderOf = (element: Element) => orders.get(element) ?? 0;
  /** Of each element, in the document's order, the last that is in it. */
  const lastWithin = [...elements.keys()];
  for (const [order, { parentElement }] of [...elements.entries()].reverse()) {
    const parent = parentElement === null ? undefined : orders.get(parentElement);
    if (parent === undefined) continue;
    lastWithin[parent] = Math.max(lastWithin[parent] ?? 0, lastWithin[order] ?? 0);
  }
  const isWithin = (inner: number, outer: number) =>
    outer <= inner && inner <= (lastWithin[outer] ?? 0);

  const rooms = new Map<Element, number>();
  const widen = (element: Element, room: number) =>
    rooms.set(element, Math.max(room, rooms.get(element) ?? ROUNDED_PX));
  const noteGenerated = (element: Element) => {
    // What stands free may stand anywhere.
    const isFree = ['::before', '::after'].some((part) => {
      const { position, pointerEvents } = getComputedStyle(element, part);
      return /absolute|fixed/.test(position) && pointerEvents !== 'none';
    });
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
    if (isFree) widen(element, Infinity);
    else if (scrollWidth > clientWidth || scrollHeight > clientHeight) {
      widen(element, GENERATED_PX);
    }
  };
  const noteStyled = (rules: CSSRuleList) => {
    for (const rule of rules) {
      if (rule instanceof CSSStyleRule && /::(?:before|after)/.test(rule.selectorText)) {
        const styled = rule.selectorText.replaceAll(/::(?:before|after)/g, '');
        // That of all elements adds nothing to them.
        if (!styled.startsWith('*')) document.querySelectorAll(styled).forEach(noteGenerated);
      } else if (rule instanceof CSSGroupingRule) noteStyled(rule.cssRules);
    }
  };
  for (const { cssRules } of document.styleSheets) noteStyled(cssRules);
  for (const shape of document.querySelectorAll('svg *')) widen(shape, STROKE_PX);
  for (const item of document.querySelectorAll('li, summary')) {
    const { display, listStyleType } = getComputedStyle(item);
    if (display === 'list-item' && listStyleType !== 'none') widen(item, GENERATED_PX);
  }

  const reachOf = (element: Element, box: DOMRect) => {
    const room = rooms.get(element) ?? ROUNDED_PX;
    const [left, right] = [box.left - room, box.right + room];
    const [top, bottom] = [box.top - room, box.bottom + room];
    return { order: orderOf(element), left, right, top, bottom };
  };
  type Reach = ReturnType<typeof reachOf>;
  /** Of what scrolls, by the strips of the page. */
  const strips = new Map<number, Reach[]>();
  const stripAt = (y: number) => Math.floor(y / STRIP_PX);
  let lasting: readonly Reach[] = [];
  const { scrollHeight } = document.documentElement;

  return {
    note: (element, box) => {
      if (box.width === 0 && box.height === 0) return;
      const reach = reachOf(element, box);
      const last = stripAt(Math.min(reach.bottom, scrollHeight));
      for (let strip = stripAt(Math.max(reach.top, 0)); strip <= last; strip++) {
        const known = strips.get(strip);
        if (known === undefined) strips.set(strip, [reach]);
        else known.push(reach);
      }
    },
    noteLasting: (boxes) => {
      lasting = boxes.map(([element, box]) => reachOf(element, box));
    },
    mayBeCovered: (element, x, y) => {
      const order = orderOf(element);
      const isOtherAt = (reach: Reach, at: number) =>
        x >= reach.left &&
        x <= reach.right &&
        at >= reach.top &&
        at <= reach.bottom &&
        !isWithin(order, reach.order) &&
        !isWithin(reach.order, order);
      const onPage = y + scrollY;
      return (
        lasting.some((reach) => isOtherAt(reach, y)) ||
        (strips.get(stripAt(onPage)) ?? []).some((reach) => isOtherAt(reach, onPage))
      );
    },
  };
}
