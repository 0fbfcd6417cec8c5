#include "report/page/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/human_numbers.h"

namespace prefold {
namespace {

constexpr double kLeft = 56, kRight = 16, kTop = 22, kBottom = 40;
constexpr double kPlotWidth = Chart::kWidth - kLeft - kRight;
constexpr double kPlotHeight = Chart::kHeight - kTop - kBottom;

// The least step of 1, 2 or 5 times a power of ten that makes at most n_wanted of `most`.
double round_step(double most, int n_wanted) {
  const double rough = most / n_wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::vector<Tick> ticks_by(double step, double most,
                           const std::function<std::string(double)>& label) {
  std::vector<Tick> ticks;
  for (int i = 0; i * step <= most * (1 + 1e-9); ++i) ticks.push_back({i * step, label(i * step)});
  return ticks;
}

// As few digits as tell the steps apart.
std::string plain(double value) { return fmt::format("{:.6g}", value); }

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
          escaped += c == '\n' || c == '\t' ? " " : "\xef\xbf\xbd";
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

std::vector<Tick> count_ticks(double most, int n_wanted,
                              const std::function<std::string(double)>& label) {
  return ticks_by(round_step(most, n_wanted), most, label);
}

std::vector<Tick> time_ticks(double most_s, int n_wanted) {
  static constexpr std::array<double, 17> kSteps = {
      1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200};
  const double rough = most_s / n_wanted;
  const auto in_seconds = [](double s) { return s == 0 ? "0" : plain(s) + " s"; };
  if (rough <= 0.5) return ticks_by(round_step(most_s, n_wanted), most_s, in_seconds);
  for (const double step : kSteps) {
    if (step < rough) continue;
    return ticks_by(step, most_s,
                    [&](double s) { return most_s < 120 ? in_seconds(s) : human_clock(s); });
  }
  const double days = round_step(most_s / 86400, n_wanted) * 86400;
  return ticks_by(days, most_s, [](double s) { return plain(s / 86400) + " d"; });
}

std::vector<Tick> byte_ticks(double most, int n_wanted) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double unit = 1;
  size_t i = 0;
  while (most / unit >= 1024 && i + 1 < kUnits.size()) {
    unit *= 1024;
    ++i;
  }
  return ticks_by(round_step(most / unit, n_wanted) * unit, most, [&](double bytes) {
    return bytes == 0 ? "0" : fmt::format("{} {}", plain(bytes / unit), kUnits[i]);
  });
}

std::string svg_picture(double width, double height, const std::string& title,
                        const std::string& description, const std::string& body) {
  return fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\"><title>{}</title><desc>{}</desc>{}</svg>\n", width,
      height, html_escaped(title), html_escaped(description), body);
}

Chart::Chart(std::string title, std::string description, double x_most, double y_most)
    : x_most_(x_most),
      y_most_(y_most),
      title_(std::move(title)),
      description_(std::move(description)) {}

double Chart::px(double x) const { return kLeft + std::clamp(x / x_most_, 0.0, 1.0) * kPlotWidth; }
double Chart::py(double y) const {
  return kTop + (1 - std::clamp(y / y_most_, 0.0, 1.0)) * kPlotHeight;
}

void Chart::x_axis(const std::vector<Tick>& ticks, const std::string& unit) {
  const double y = kTop + kPlotHeight;
  for (const Tick& tick : ticks) {
    body_ += fmt::format(
        "<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"tick\" x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>",
        px(tick.value), y, y + 4, y + 18, html_escaped(tick.label));
  }
  body_ +=
      fmt::format("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                  kLeft, kLeft + kPlotWidth, y, y);
  body_ +=
      fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                  kLeft + kPlotWidth, y + 34, html_escaped(unit));
}

void Chart::y_axis(const std::vector<Tick>& ticks, const std::string& unit) {
  for (const Tick& tick : ticks) {
    if (tick.value > 0) {
      body_ += fmt::format(
          "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
          kLeft + kPlotWidth, py(tick.value), py(tick.value));
    }
    body_ +=
        fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                    kLeft - 6, py(tick.value) + 4, html_escaped(tick.label));
  }
  body_ +=
      fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"12\">{}</text>", 4.0, html_escaped(unit));
}

void Chart::area(const std::vector<Point>& points, const std::vector<double>& low,
                 const std::string& css_class) {
  if (points.empty()) return;
  std::string path = fmt::format("M{:.1f} {:.1f}", px(0), py(low.empty() ? 0 : low[0]));
  for (const Point& point : points) {
    path += fmt::format("V{:.1f}H{:.1f}", py(point.y), px(point.x));
  }
  for (size_t i = points.size(); i-- > 0;) {
    const double left = i > 0 ? points[i - 1].x : 0;
    path += fmt::format("V{:.1f}H{:.1f}", py(low.empty() ? 0 : low[i]), px(left));
  }
  body_ += fmt::format("<path class=\"area {}\" d=\"{}Z\"/>", css_class, path);
}

void Chart::step_line(const std::vector<Point>& points, const std::string& css_class) {
  if (points.empty()) return;
  std::string path = fmt::format("M{:.1f} {:.1f}H{:.1f}", px(0), py(points[0].y), px(points[0].x));
  for (size_t i = 1; i < points.size(); ++i) {
    path += fmt::format("V{:.1f}H{:.1f}", py(points[i].y), px(points[i].x));
  }
  body_ += fmt::format("<path class=\"line {}\" d=\"{}\"/>", css_class, path);
}

void Chart::line(const std::vector<Point>& points, const std::string& css_class) {
  if (points.empty()) return;
  std::string path;
  for (const Point& point : points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px(point.x), py(point.y));
  }
  body_ += fmt::format("<path class=\"line {}\" d=\"{}\"/>", css_class, path);
}

void Chart::level(double y, const std::string& words) {
  body_ += fmt::format(
      "<line class=\"level\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
      "<text class=\"tick\" x=\"{1:.1f}\" y=\"{3:.1f}\" text-anchor=\"end\">{4}</text>",
      kLeft, kLeft + kPlotWidth, py(y), py(y) - 5, html_escaped(words));
}

void Chart::dot(Point at, const std::string& css_class, const std::string& tooltip) {
  body_ += fmt::format(
      "<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{}</title></circle>",
      css_class, px(at.x), py(at.y), html_escaped(tooltip));
}

void Chart::text(Point at, double dx, double dy, const std::string& anchor,
                 const std::string& words, const std::string& css_class) {
  body_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>",
                       css_class, px(at.x) + dx, py(at.y) + dy, anchor, html_escaped(words));
}

std::string Chart::take() { return svg_picture(kWidth, kHeight, title_, description_, body_); }

std::string bar_chart(const std::string& title, const std::string& description,
                      const std::vector<Bar>& bars) {
  constexpr double kBarLeft = 118, kBarRight = 104, kRow = 30, kThick = 18;
  double most = 0;
  for (const Bar& bar : bars) {
    double sum = 0;
    for (const BarPart& part : bar.parts) sum += part.value;
    most = std::max(most, sum);
  }
  const double scale = most > 0 ? (Chart::kWidth - kBarLeft - kBarRight) / most : 0;
  std::string body;
  double y = 6;
  for (const Bar& bar : bars) {
    body += fmt::format("<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                        kBarLeft - 8, y + 14, html_escaped(bar.name));
    double x = kBarLeft;
    for (const BarPart& part : bar.parts) {
      const double width = part.value * scale;
      if (width > 0) {
        // A gap of the page's colour keeps neighbours apart.
        const double gap = bar.parts.size() > 1 && width > 3 ? 1.5 : 0;
        body += fmt::format(
            "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\">"
            "<title>{}</title></rect>",
            part.css_class, x, y, std::max(width - gap, 0.7), kThick, html_escaped(part.tooltip));
      }
      x += width;
    }
    body += fmt::format("<text class=\"value\" x=\"{:.1f}\" y=\"{}\">{}</text>", x + 6, y + 14,
                        html_escaped(bar.label));
    y += kRow;
  }
  return svg_picture(Chart::kWidth, y + 2, title, description, body);
}

}  // namespace prefold
