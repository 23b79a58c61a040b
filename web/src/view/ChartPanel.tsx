// Candles and volume. The drawing library comes in a chunk of its own and works with floats:
// fine for pixels, and nothing is read back from it.
import type { IChartApi, ISeriesApi, UTCTimestamp } from "lightweight-charts";
import { useEffect, useRef, useState, type RefObject } from "react";
import { amountText, decimalText, priceText } from "../format/decimal";
import type { MarketFeed } from "../store/market_feed";
import { INTERVALS, type Candle, type Market } from "../store/vocabulary";
import { Choice } from "./Choice";
import { FailureNote } from "./FailureNote";
import { useCell } from "./use_cell";

interface Drawing {
  readonly chart: IChartApi;
  readonly candles: ISeriesApi<"Candlestick">;
  readonly volume: ISeriesApi<"Histogram">;
}

/** What stands in a drawing: a new drawing begins empty. */
interface Drawn {
  readonly on: Drawing | null;
  readonly candles: readonly Candle[];
}

export function ChartPanel({ feed }: { readonly feed: MarketFeed }) {
  const { interval, candles, failure } = useCell(feed.candles.view);
  const box = useRef<HTMLDivElement>(null);
  const drawing = useDrawing(box, feed.market);
  const drawn = useRef<Drawn>({ on: null, candles: [] });

  useEffect(() => {
    if (drawing === null) return;
    const before = drawn.current.on === drawing ? drawn.current.candles : [];
    draw(drawing, before, candles, feed.market);
    drawn.current = { on: drawing, candles };
  }, [drawing, candles, feed.market]);

  return (
    <section className="panel chart" data-testid="chart" aria-label="Chart">
      <header>
        <h2>Chart</h2>
        <Choice
          legend="Interval"
          value={interval}
          options={INTERVALS.map((each) => [each, each] as const)}
          onChange={(chosen) => feed.candles.choose(chosen)}
        />
      </header>
      {failure !== null && <FailureNote code={failure.code} message={failure.message} />}
      <div className="canvas">
        <div className="drawing" ref={box} />
        {candles.length === 0 && failure === null && <p className="quiet none">No candles yet.</p>}
      </div>
    </section>
  );
}

/** The chart inside the box, once its code has been loaded. */
function useDrawing(box: RefObject<HTMLElement | null>, market: Market): Drawing | null {
  const [drawing, setDrawing] = useState<Drawing | null>(null);
  useEffect(() => {
    let disposed = false;
    let made: Drawing | null = null;
    import("lightweight-charts").then(
      (library) => {
        if (disposed || box.current === null) return;
        made = makeDrawing(library, box.current, market);
        setDrawing(made);
      },
      (cause: unknown) => console.error("the chart could not be loaded", cause),
    );
    return () => {
      disposed = true;
      setDrawing(null);
      made?.chart.remove();
    };
  }, [box, market]);
  return drawing;
}

function makeDrawing(
  library: typeof import("lightweight-charts"),
  box: HTMLElement,
  market: Market,
): Drawing {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const [up, down, line] = [colour("--up"), colour("--down"), colour("--line")];
  const chart = library.createChart(box, {
    autoSize: true,
    layout: {
      background: { color: "transparent" },
      textColor: colour("--quiet"),
      fontSize: 11,
    },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: false, rightOffset: 4 },
  });
  const { tickSize, stepSize } = market;
  const candles = chart.addSeries(library.CandlestickSeries, {
    upColor: up,
    downColor: down,
    wickUpColor: up,
    wickDownColor: down,
    borderVisible: false,
    priceFormat: {
      type: "price",
      precision: tickSize.scale,
      minMove: Number(decimalText(tickSize)),
    },
  });
  const volume = chart.addSeries(library.HistogramSeries, {
    priceScaleId: "volume",
    lastValueVisible: false,
    priceLineVisible: false,
    priceFormat: {
      type: "price",
      precision: stepSize.scale,
      minMove: Number(decimalText(stepSize)),
    },
  });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  return { chart, candles, volume };
}

/** Only the running candle changes from frame to frame: then one point is drawn, not all. */
function draw(
  drawing: Drawing,
  before: readonly Candle[],
  candles: readonly Candle[],
  market: Market,
): void {
  const last = candles.at(-1);
  const onlyLastChanged =
    last !== undefined &&
    candles.length === before.length &&
    candles[0]?.startS === before[0]?.startS &&
    last.startS === before.at(-1)?.startS;
  if (onlyLastChanged) {
    drawing.candles.update(bar(last, market));
    drawing.volume.update(column(last, market));
    return;
  }
  drawing.candles.setData(candles.map((candle) => bar(candle, market)));
  drawing.volume.setData(candles.map((candle) => column(candle, market)));
  if (before.length === 0) drawing.chart.timeScale().scrollToRealTime();
}

/** The library draws times as UTC; shifted, its axis reads in local time like the rest. */
function localTime(startS: number): UTCTimestamp {
  return (startS - new Date(startS * 1000).getTimezoneOffset() * 60) as UTCTimestamp;
}

function bar(candle: Candle, market: Market) {
  const value = (price: Candle["open"]) => Number(priceText(price, market));
  return {
    time: localTime(candle.startS),
    open: value(candle.open),
    high: value(candle.high),
    low: value(candle.low),
    close: value(candle.close),
  };
}

function column(candle: Candle, market: Market) {
  const rose = candle.close >= candle.open;
  return {
    time: localTime(candle.startS),
    value: Number(amountText(candle.volume, market)),
    color: rose ? "rgb(46 189 133 / 0.35)" : "rgb(240 82 106 / 0.35)",
  };
}
