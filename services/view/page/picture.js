// Birds and their lanes.

import { s, isStill } from './dom.js';

/** A bird that faces up, 16 wide, around its own middle. */
const BIRD = 'M-8 1q4.5-6.5 8-.8q3.5-5.7 8 .8q-4.5-3-8 2.4q-3.5-5.4-8-2.4z';

export const bird = (service, extra = '') => s('path', { class: `bird of-${service} ${extra}`, d: BIRD });

/** Flies `element` along `path` in `ms`, and then calls `landed`. */
export function fly(element, path, ms, landed) {
  const length = path.getTotalLength();
  const began = performance.now();
  if (isStill() || !length) return landed();
  const frame = (now) => {
    if (!element.isConnected) return;
    const part = Math.min((now - began) / ms, 1);
    const eased = part < 0.5 ? 2 * part * part : 1 - (2 - 2 * part) ** 2 / 2;
    const { x, y } = path.getPointAtLength(eased * length);
    const beat = 0.55 + 0.45 * Math.abs(Math.sin(now / 70));
    element.setAttribute('transform', `translate(${x} ${y})`);
    for (const wings of element.querySelectorAll('.bird')) wings.setAttribute('transform', `scale(1 ${beat})`);
    if (part < 1) return requestAnimationFrame(frame);
    for (const wings of element.querySelectorAll('.bird')) wings.removeAttribute('transform');
    landed();
  };
  requestAnimationFrame(frame);
}

/** The service that wrote the record that caused `event`, as its headers tell. */
export function causedBy(event, topology) {
  if (!event.causation_id) return null;
  const topic = event.causation_id.split('/').slice(0, -2).join('/');
  if (topic === event.topic) return null;
  const writers = topology.topics.find(({ name }) => name === topic)?.writers ?? [];
  if (writers[0] === 'any') return 'customer';
  if (writers.length === 1) return writers[0];
  // Of several writers, it is the last one that the fact has passed through before.
  return event.lineage.at(-2)?.split('@')[0] ?? writers[0];
}
