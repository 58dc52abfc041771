import { formatPlural } from '../../lib/figures';
import type { EchoCounts } from './conversation';

export interface VerdictSentence {
  readonly tone: 'neutral' | 'good' | 'bad';
  readonly text: string;
}

/** The counts in one plain sentence; what went wrong comes before what is merely not in yet. */
export function verdictSentence(counts: EchoCounts): VerdictSentence {
  const faults = [
    counts.lost > 0 ? `${formatPlural(counts.lost, 'message', 'messages')} lost` : '',
    counts.unexpected > 0
      ? formatPlural(counts.unexpected, 'unexpected reply', 'unexpected replies')
      : '',
    counts.duplicate > 0
      ? formatPlural(counts.duplicate, 'duplicate reply', 'duplicate replies')
      : '',
    counts.reordered > 0
      ? `${formatPlural(counts.reordered, 'reply', 'replies')} out of order`
      : '',
  ].filter((fault) => fault !== '');

  if (faults.length > 0) return { tone: 'bad', text: `${faults.join(', ')}.` };
  if (counts.sent === 0) return { tone: 'neutral', text: 'Nothing sent yet.' };
  if (counts.waiting > 0) {
    return {
      tone: 'neutral',
      text: `${formatPlural(counts.waiting, 'reply', 'replies')} still to come.`,
    };
  }
  return { tone: 'good', text: 'Every message came back right.' };
}
