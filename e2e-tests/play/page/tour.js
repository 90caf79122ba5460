// Six steps from an order that flies by itself to a bug that is caught. Each is a run with its
// buttons pressed already, so it is the same for all who take the tour.

import { h, show } from './dom.js';
import { begin, facts, isRecorded, on, play, run, seek, stop } from './run.js';

/** The run of the tour: which order it looks at, and when. */
const SEED = 7;

const STEPS = [];

export function tour(section) {
  if (isRecorded) return;
  show(section);
}
